export { type Dashboard, type DashboardOptions, runDashboard } from './server.ts';
